"""The model server: KServe's protocols over exact names, with security, features at request time and operation."""
