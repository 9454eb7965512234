"""The admission webhook: defaults and validates SessionStorages, wires their consumers."""
