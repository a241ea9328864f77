"""What whoever runs the daemon sees of it: metrics, health, logs, and its start and end."""
