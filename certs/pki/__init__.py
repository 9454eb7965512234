"""Issues and checks certificates: keys, signatures, lifetimes. Pure but for the randomness of keys."""
