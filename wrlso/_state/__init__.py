"""What an optimizer has at one moment: what it learned, what changes, what it reads."""
