"""Speed, as ratios against named peers, and durability."""
