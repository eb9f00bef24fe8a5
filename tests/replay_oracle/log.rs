//! A reader of logs that shares nothing with the command's: text, split at
//! marks, and days counted by hand.

/// The client and the time of a line in seconds since 1970.
pub(crate) fn read(line: &str) -> Option<(String, u64)> {
    let client = line.split(' ').next()?;
    let date = line.split(" [").nth(1)?.split(']').next()?;
    let quoted = line.split_once("] \"")?.1;
    // The logs at hand escape no quote in a request but as \x22.
    let mut after = quoted.split_once("\" ")?.1.split(' ');
    after.next()?.parse::<u16>().ok()?;
    let bytes = after.next()?;
    if bytes != "-" {
        bytes.parse::<u64>().ok()?;
    }
    Some((client_key(client), seconds(date)?))
}

fn client_key(client: &str) -> String {
    if !client.contains(':') {
        return client.to_owned();
    }
    // The logs at hand hold one IPv6 address.
    assert_eq!(client, "::1", "the oracle knows no other IPv6 address");
    "::/64".to_owned()
}

fn seconds(date: &str) -> Option<u64> {
    let (date, zone) = date.split_once(' ')?;
    assert_eq!(zone, "+0000", "the oracle knows no zone but this");
    let fields: Vec<&str> = date.split(['/', ':']).collect();
    let [day, month, year, hour, minute, second] = fields[..] else {
        return None;
    };
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(month)? / 3;
    let year: u64 = year.parse().ok()?;
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days: u64 = (1970..year).map(|y| 365 + u64::from(leap(y))).sum::<u64>()
        + lengths[..month].iter().sum::<u64>()
        + day.parse::<u64>().ok()?
        - 1;
    let number = |text: &str| text.parse::<u64>().ok();
    Some(((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?)
}
