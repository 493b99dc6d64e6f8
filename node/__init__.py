"""One company's node: answers partners' questions, proves, and leaves receipts."""
