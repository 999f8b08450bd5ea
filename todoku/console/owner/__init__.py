"""The owner's pages: what the shop is called, says, takes and sends, chosen in the console."""
