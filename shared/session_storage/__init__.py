"""The SessionStorage resource: models, sizes, validation, CRD. Pure."""
