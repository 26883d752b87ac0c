//! The CustomResourceDefinitions, as the API server wants them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{Blob, Committee, StorageNode};

/// What a string, list or map of a type that is not ours has at most.
const LONGEST_FOREIGN_STRING: i64 = 1024;
const LONGEST_FOREIGN_LIST: i64 = 64;

/// The definitions of all kinds, in the order of their names.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![Blob::crd(), Committee::crd(), StorageNode::crd()];
    for definition in &mut definitions {
        for version in &mut definition.spec.versions {
            let schema =
                version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            if let Some(properties) = schema.and_then(|schema| schema.properties.as_mut()) {
                properties.values_mut().for_each(settle);
            }
        }
    }
    definitions
}

/// Takes out what derive adds and the API server has no use for, and bounds what has no bound.
/// Null is no value: a field is there or it is not, or rules that ask `has` would be misled.
fn settle(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(format) = &mut schema.format {
        match format.as_str() {
            "uint8" | "uint16" => "int32".clone_into(format),
            "uint32" | "uint64" => "int64".clone_into(format),
            _ => {}
        }
    }
    match schema.type_.as_deref() {
        Some("string")
            if schema.enum_.is_none() && schema.format.as_deref() != Some("date-time") =>
        {
            schema.max_length.get_or_insert(LONGEST_FOREIGN_STRING);
        }
        Some("array") => {
            schema.max_items.get_or_insert(LONGEST_FOREIGN_LIST);
        }
        Some("object") if schema.additional_properties.is_some() => {
            schema.max_properties.get_or_insert(LONGEST_FOREIGN_LIST);
        }
        _ => {}
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        settle(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        settle(values);
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| settle(property));
}

#[cfg(test)]
mod tests;
