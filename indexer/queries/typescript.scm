; On top of ecmascript.scm.

(interface_declaration name: (type_identifier) @name.interface) @def.interface
(type_alias_declaration name: (type_identifier) @name.type) @def.type
(enum_declaration name: (identifier) @name.enum) @def.enum
(enum_body name: (property_identifier) @name.constant @def.constant)
(enum_assignment name: (property_identifier) @name.constant) @def.constant
(abstract_class_declaration name: (type_identifier) @name.class) @def.class
(internal_module name: (_) @name.module) @def.module
(module name: (identifier) @name.module) @def.module
(module name: (string (string_fragment) @name.module)) @def.module
(function_signature name: (identifier) @name.function) @def.function
(method_signature name: (property_identifier) @name.method) @def.method
(abstract_method_signature name: (property_identifier) @name.method) @def.method
(interface_body (property_signature name: (property_identifier) @name.field) @def.field)
(public_field_definition name: [(property_identifier) (private_property_identifier)] @name.field) @def.field
(public_field_definition name: [(property_identifier) (private_property_identifier)] @name.method
  value: [(arrow_function) (function_expression)]) @def.method
(required_parameter (accessibility_modifier) pattern: (identifier) @name.field) @def.field
(ambient_declaration (lexical_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))
(ambient_declaration (variable_declaration (variable_declarator name: (identifier) @name.variable) @def.variable))

(required_parameter pattern: (identifier) @local)
(optional_parameter pattern: (identifier) @local)
(type_parameter name: (type_identifier) @local)
(index_signature name: (identifier) @local)

(extends_clause value: [
  (identifier) @ref.inherit
  (member_expression property: (property_identifier) @ref.inherit)])
(implements_clause [(type_identifier) @ref.inherit (generic_type name: (type_identifier) @ref.inherit)])
(extends_type_clause type: [(type_identifier) @ref.inherit (generic_type name: (type_identifier) @ref.inherit)])
(type_identifier) @ref.type
