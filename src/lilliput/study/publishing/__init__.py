"""Publish runs and corpora as folders that Hugging Face tools load, and those folders on the Hub."""
