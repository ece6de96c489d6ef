"""Speed and durability, as ratios against named peers."""
