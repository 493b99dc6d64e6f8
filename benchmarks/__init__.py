"""What is fast and what is not, measured beside what a user would pick instead."""
