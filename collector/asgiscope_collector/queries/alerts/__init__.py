"""What alert rules are evaluated from."""
