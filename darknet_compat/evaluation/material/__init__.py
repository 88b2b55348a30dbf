"""What is measured on: pictures with their truth, and files of results."""
