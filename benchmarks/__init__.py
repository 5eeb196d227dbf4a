"""What watcherd costs, side by side with its yardsticks: ``make bench``."""
