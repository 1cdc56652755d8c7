"""What is pending, what a dry run reports, and under which configuration earlier runs worked."""
