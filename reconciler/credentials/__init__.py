"""Who may log in to a storage's Valkey, with which rights, and which passwords are in force. Pure."""
