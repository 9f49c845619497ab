"""SQL tools: connections, types, rows as one parameter, group commit."""
