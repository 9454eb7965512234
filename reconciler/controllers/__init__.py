"""One controller for each kind of object that the reconciler looks after."""
