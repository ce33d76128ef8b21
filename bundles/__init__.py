"""What release engineers run."""
