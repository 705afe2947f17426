"""YAML configs of training runs: schema and loading."""
