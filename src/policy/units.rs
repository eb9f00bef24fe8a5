//! The texts of a policy file: quotas, amounts, spans of time, shares.
