"""Who is told: one file a kind of receiver, each a pure function from a notification to what is sent."""
