fn polite(pacer: &tollgate::client::Pacer, send: impl Fn() -> (u16, Vec<(String, String)>)) -> u16 {
    let (mut call, mut last) = (pacer.call(), 429);
    // Sleeps until it may go; `step` says how long instead.
    while call.block().is_ok() {
        let (status, fields) = send(); // by whatever client there is
        call.answered(status, fields, std::time::SystemTime::now());
        last = status;
    }
    last
}
