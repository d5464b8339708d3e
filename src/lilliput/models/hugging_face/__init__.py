"""The way to and from Hugging Face folders: names of tensors, `config.json`, cards, export, import."""
