//! The policy file: its model, and its errors with line and column.
