"""What users put into a model: another base, LoRAs, words of the prompt, an autoencoder."""
