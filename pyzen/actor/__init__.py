"""Messages, processes and signals: the actor layer."""
