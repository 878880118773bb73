"""Who may send, and who may look: tokens for senders, a login for people."""
