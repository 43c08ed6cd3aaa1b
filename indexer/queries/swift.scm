(class_declaration declaration_kind: ["class" "actor"] name: (type_identifier) @name.class) @def.class
(class_declaration declaration_kind: "struct" name: (type_identifier) @name.struct) @def.struct
(class_declaration declaration_kind: "enum" name: (type_identifier) @name.enum) @def.enum
(class_declaration declaration_kind: "extension" name: (user_type (type_identifier) @name.impl)) @def.impl
(protocol_declaration name: (type_identifier) @name.interface) @def.interface
(enum_entry name: (simple_identifier) @name.constant) @def.constant
(function_declaration name: [
  (simple_identifier) (custom_operator) "==" "!=" "<" ">" "<=" ">=" "+" "-" "*" "/"] @name.function) @def.function
(protocol_function_declaration name: (simple_identifier) @name.method) @def.method
(init_declaration "init" @name.method) @def.method
(deinit_declaration "deinit" @name.method) @def.method
(subscript_declaration "subscript" @name.method) @def.method
(typealias_declaration name: (type_identifier) @name.type) @def.type
(associatedtype_declaration name: (type_identifier) @name.type) @def.type
(property_declaration name: (pattern bound_identifier: (simple_identifier) @name.variable)) @def.variable
(class_body (property_declaration
  name: (pattern bound_identifier: (simple_identifier) @name.property)) @def.property)
(enum_class_body (property_declaration
  name: (pattern bound_identifier: (simple_identifier) @name.property)) @def.property)
(protocol_property_declaration name: (pattern bound_identifier: (simple_identifier) @name.property)) @def.property

(parameter name: (simple_identifier) @local)
(parameter external_name: (simple_identifier) @local)
(for_statement item: (pattern bound_identifier: (simple_identifier) @local))
(lambda_parameter name: (simple_identifier) @local)
(guard_statement bound_identifier: (simple_identifier) @local)
(if_statement bound_identifier: (simple_identifier) @local)
(guard_statement condition: (value_binding_pattern) . bound_identifier: (simple_identifier) @local)
(catch_block error: (pattern bound_identifier: (simple_identifier) @local))
(type_parameter (type_identifier) @local)

(import_declaration (identifier) @ref.import)
(inheritance_specifier inherits_from: (user_type (type_identifier) @ref.inherit))
(call_expression . [
  (simple_identifier) @ref.call
  (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @ref.call))])
(attribute (user_type (type_identifier) @ref.call))
(assignment target: (directly_assignable_expression [
  (simple_identifier) @ref.write
  (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @member.write))]))
(value_argument name: (value_argument_label (simple_identifier) @ref.other))
(navigation_suffix suffix: (simple_identifier) @member.read)
(type_identifier) @ref.type
(simple_identifier) @ref.read

(comment) @attach
(multiline_comment) @attach
