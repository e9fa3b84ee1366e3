"""The node: links, routing, epmd, system processes."""
