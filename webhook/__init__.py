"""The admission webhook: defaults and validates SessionStorages, and injects their connection into consumers."""
