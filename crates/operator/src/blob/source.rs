//! Where a Blob's bytes come from: what its spec says, checked.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use floe_crd::{BlobSpec, Inline, duration};
use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest as _, Sha256};

use super::plan::{Entry, Origin};

/// How long an upload is awaited whose `expireAfter` cannot be read.
const EXPIRE_AFTER: Duration = Duration::from_hours(24);

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What `spec.digest` says. Admission has checked its form.
pub(crate) fn digest(spec: &BlobSpec) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let digits = spec.digest.as_deref()?.strip_prefix("sha256:")?;
    hex::decode_to_slice(digits, &mut digest).ok()?;
    Some(digest)
}

/// The bytes that stand in the Blob itself, or why they cannot be read.
pub(crate) fn inline(inline: &Inline) -> Result<Bytes, String> {
    match (&inline.text, &inline.base64) {
        (Some(text), None) => Ok(Bytes::from(text.clone().into_bytes())),
        (None, Some(coded)) => STANDARD.decode(coded).map(Bytes::from).map_err(|error| {
            format!("spec.source.inline.base64 is no base64: {error}; create the Blob anew")
        }),
        _ => Err("spec.source.inline has neither text nor base64; create the Blob anew".to_owned()),
    }
}

/// Where the content comes from.
pub(crate) fn origin(spec: &BlobSpec, namespace: &str) -> Origin {
    let source = &spec.source;
    if let Some(content) = &source.inline {
        return Origin::Inline(inline(content).map(|bytes| sha256(&bytes)));
    }
    if let Some(entry) = &source.config_map_key_ref {
        return Origin::ConfigMap(format!(
            "ConfigMap {namespace}/{}, key {}",
            entry.name, entry.key
        ));
    }
    let upload = source.upload.as_ref();
    let expire_after = upload.and_then(|upload| duration(&upload.expire_after).ok());
    Origin::Upload { expire_after: expire_after.unwrap_or(EXPIRE_AFTER) }
}

/// What a ConfigMap has under a key.
pub(crate) fn entry(config_map: Option<&ConfigMap>, key: &str) -> Entry {
    let Some(config_map) = config_map else { return Entry::NoConfigMap };
    let text = config_map.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let binary = || {
        let data = config_map.binary_data.as_ref()?;
        data.get(key).map(|bytes| bytes.0.as_slice())
    };
    text.or_else(binary)
        .map_or(Entry::NoKey, |bytes| Entry::Bytes(bytes.len() as u64, sha256(bytes)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(source: &serde_json::Value) -> BlobSpec {
        serde_json::from_value(json!({ "source": source })).unwrap()
    }

    #[test]
    fn inline_is_text_or_base64() {
        let abc = Origin::Inline(Ok(sha256(b"abc")));
        assert_eq!(origin(&spec(&json!({"inline": {"text": "abc"}})), "shop"), abc);
        assert_eq!(origin(&spec(&json!({"inline": {"base64": "YWJj"}})), "shop"), abc);
        for odd in [json!({"inline": {"base64": "YWJ"}}), json!({"inline": {}})] {
            let found = origin(&spec(&odd), "shop");
            assert!(matches!(found, Origin::Inline(Err(_))), "{odd}: {found:?}");
        }
    }

    #[test]
    fn an_upload_waits_as_long_as_it_says() {
        let hour = Origin::Upload { expire_after: Duration::from_hours(1) };
        assert_eq!(origin(&spec(&json!({"upload": {"expireAfter": "1h"}})), "shop"), hour);
        let day = Origin::Upload { expire_after: EXPIRE_AFTER };
        assert_eq!(origin(&spec(&json!({"upload": {}})), "shop"), day);
    }

    #[test]
    fn a_config_map_has_text_bytes_or_nothing_under_a_key() {
        let found: ConfigMap = serde_json::from_value(json!({
            "data": {"text": "abc"},
            "binaryData": {"bytes": "YWJj"},
        }))
        .unwrap();
        let abc = Entry::Bytes(3, sha256(b"abc"));
        assert_eq!(entry(Some(&found), "text"), abc);
        assert_eq!(entry(Some(&found), "bytes"), abc);
        assert_eq!(entry(Some(&found), "other"), Entry::NoKey);
        assert_eq!(entry(None, "text"), Entry::NoConfigMap);
    }

    #[test]
    fn a_digest_is_read_from_its_text() {
        let mut spec = spec(&json!({"upload": {}}));
        assert_eq!(digest(&spec), None);
        spec.digest = Some(format!("sha256:{}", "ab".repeat(32)));
        assert_eq!(digest(&spec), Some([0xab; 32]));
    }
}
