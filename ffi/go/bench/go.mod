// Apart from the module, so that its peers are nothing that it depends on; `run` adds them.
module tollgate/bench

go 1.24

require tollgate v0.0.0

replace tollgate => ../
