//! frp's configuration: files in INI, TOML, YAML and JSON to one checked model.
