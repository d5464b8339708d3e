"""Training data: sequences cut from the token store, their order, their packing into rows, masks and batches."""
