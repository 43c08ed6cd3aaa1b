; On top of ecmascript.scm and jsx.scm: the JavaScript grammar reads JSX too.

(field_definition property: [(property_identifier) (private_property_identifier)] @name.field) @def.field
(field_definition property: [(property_identifier) (private_property_identifier)] @name.method
  value: [(arrow_function) (function_expression)]) @def.method
(class_heritage [
  (identifier) @ref.inherit
  (member_expression property: (property_identifier) @ref.inherit)
  (call_expression function: (identifier) @ref.inherit)])
(formal_parameters [(identifier) @local (assignment_pattern left: (identifier) @local)])
; CommonJS.
((call_expression function: (identifier) @_require arguments: (arguments . (string (string_fragment) @ref.import)))
  (#eq? @_require "require"))
