package tollgate

// Live counts handles that were not freed.
func Live() int64 { return live.Load() }
