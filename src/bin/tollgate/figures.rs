//! Numbers for people.

/// `part` of `whole` in per cent, rounded to a tenth.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let thousandths = (u128::from(part) * 2000 + u128::from(whole)) / (u128::from(whole) * 2);
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// 1,234,567
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit of which there is one at least, rounded: to a tenth below 100.
pub(crate) fn bytes(number: usize) -> String {
    let number = number as u128;
    for (unit, size) in
        [("TB", 10_u128.pow(12)), ("GB", 10_u128.pow(9)), ("MB", 10_u128.pow(6)), ("kB", 1000)]
    {
        // What would be told as 1000 of the unit below is one of this.
        if number >= size - size / 2000 {
            let tenths = (number * 10 + size / 2) / size;
            return if tenths < 1000 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", (number + size / 2) / size)
            };
        }
    }
    format!("{number} B")
}

/// Seconds in the largest unit that shows them well.
pub(crate) fn span(seconds: u64) -> String {
    for (unit, size) in [("d", 86_400), ("h", 3600), ("min", 60)] {
        if seconds >= 2 * size {
            let tenths = seconds / (size / 10);
            return if tenths.is_multiple_of(10) || tenths >= 100 {
                format!("{} {unit}", tenths / 10)
            } else {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (number, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1000, "1.0 kB"),
            (99_900, "99.9 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (240_384, "240 kB"),
            (999, "999 B"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_000_000, "1.0 MB"),
            (15_400_000, "15.4 MB"),
            (11_349_999_999, "11.3 GB"),
            (usize::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (part, whole, text) in
            [(0, 0, ""), (0, 1, "0.0 %"), (1, 3, "33.3 %"), (2, 3, "66.7 %"), (5, 5, "100.0 %")]
        {
            assert_eq!(share(part, whole), text);
        }
        for (seconds, text) in
            [(1, "1 s"), (64, "64 s"), (256, "4.2 min"), (8192, "2.2 h"), (1 << 20, "12 d")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
