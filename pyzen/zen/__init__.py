"""ZenMonitor: Local, Connector, Dispatcher, Proxy, Batcher, Truncator."""
