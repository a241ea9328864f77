"""What realtime is compared with."""
