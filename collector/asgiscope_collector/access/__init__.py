"""Access control: tokens for senders, sign-in for users."""
