; A function is written as several equations: @clause joins neighbours of one name (tags.py).

(header module: (module) @name.module) @def.module
(data_type name: (name) @name.type) @def.type
(newtype name: (name) @name.type) @def.type
(type_synonym name: (name) @name.type) @def.type
(type_family name: (name) @name.type) @def.type
(class name: (name) @name.interface) @def.interface
(instance name: (name) @name.impl) @def.impl
(data_constructor (_ name: (constructor) @name.constant)) @def.constant
(newtype_constructor name: (constructor) @name.constant) @def.constant
(gadt_constructor name: (constructor) @name.constant) @def.constant
(field name: (field_name (variable) @name.field)) @def.field
(function name: (variable) @name.function) @def.function @clause
(function name: (prefix_id (operator) @name.function)) @def.function @clause
(function (infix operator: (operator) @name.function)) @def.function @clause
(function (infix operator: (infix_id (variable) @name.function))) @def.function @clause
(declarations (bind name: (variable) @name.variable) @def.variable)
(declarations (bind name: (variable) @name.function match: (match expression: (lambda))) @def.function)
(class_declarations (signature name: (variable) @name.method) @def.method)

(signature name: (variable) @local)
(function (infix left_operand: (variable) @local))
(function (infix right_operand: (variable) @local))
(patterns (variable) @local)
(patterns (_ (variable) @local))
(local_binds (bind name: (variable) @local))
(do (bind pattern: (variable) @local))
(do (bind pattern: (_ (variable) @local)))
(alternative pattern: (variable) @local)
(alternative pattern: (apply argument: (variable) @local))
(type_params bind: (variable) @local)

(import module: (module) @ref.import)
(import_name variable: (variable) @ref.import)
(import_name type: (name) @ref.import)
(apply function: [(variable) @ref.call (qualified id: (variable) @ref.call)])
(deriving classes: (tuple (name) @ref.inherit))
(deriving classes: (name) @ref.inherit)
(name) @ref.type
(constructor) @ref.call
(operator) @ref.other
(variable) @ref.read

(comment) @attach
(haddock) @attach
(declarations (signature) @attach)
