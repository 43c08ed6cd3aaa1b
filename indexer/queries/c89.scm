; On top of c.scm: what C++ does not have. `int f(a, b) int a; char b; { }`

(parameter_list (identifier) @local)
