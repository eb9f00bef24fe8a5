#![doc = include_str!("coming_from_governor.md")]
