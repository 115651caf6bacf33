"""What teams have today, and what they could have instead: each peer answers the same question on the same input."""
