"""Configuration: its schema, the files it is read from, messages, the settings reference, a first configuration."""
