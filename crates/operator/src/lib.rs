//! Reconciles Committee, StorageNode and Blob.
