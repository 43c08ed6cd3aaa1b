(namespace_declaration name: (_) @name.module) @def.module
(file_scoped_namespace_declaration name: (_) @name.module) @def.module
(class_declaration name: (identifier) @name.class) @def.class
(record_declaration name: (identifier) @name.class) @def.class
(struct_declaration name: (identifier) @name.struct) @def.struct
(interface_declaration name: (identifier) @name.interface) @def.interface
(enum_declaration name: (identifier) @name.enum) @def.enum
(enum_member_declaration name: (identifier) @name.constant) @def.constant
(delegate_declaration name: (identifier) @name.type) @def.type
(method_declaration name: (identifier) @name.method) @def.method
(constructor_declaration name: (identifier) @name.method) @def.method
(destructor_declaration name: (identifier) @name.method) @def.method
(operator_declaration operator: _ @name.method) @def.method
(conversion_operator_declaration "operator" @name.method) @def.method
(indexer_declaration "this" @name.property) @def.property
(local_function_statement name: (identifier) @name.function) @def.function
(property_declaration name: (identifier) @name.property) @def.property
(event_declaration name: (identifier) @name.property) @def.property
(event_field_declaration (variable_declaration (variable_declarator name: (identifier) @name.property))) @def.property
(field_declaration (variable_declaration (variable_declarator name: (identifier) @name.field))) @def.field
(field_declaration) @def.constant
(field_declaration (modifier "const")
  (variable_declaration (variable_declarator name: (identifier) @name.constant)))
(record_declaration (parameter_list (parameter name: (identifier) @name.property) @def.property))

(parameter name: (identifier) @local)
(implicit_parameter) @local
(local_declaration_statement (variable_declaration (variable_declarator name: (identifier) @local)))
(using_statement (variable_declaration (variable_declarator name: (identifier) @local)))
(for_statement (variable_declaration (variable_declarator name: (identifier) @local)))
(foreach_statement left: (identifier) @local)
(catch_declaration name: (identifier) @local)
(declaration_pattern name: (identifier) @local)
(declaration_expression name: (identifier) @local)
(type_parameter name: (identifier) @local)

(using_directive [(identifier) (qualified_name)] @ref.import .)
(using_directive (qualified_name name: (identifier) @ref.import) .)
(base_list [
  (identifier) @ref.inherit
  (generic_name . (identifier) @ref.inherit)
  (qualified_name name: (identifier) @ref.inherit)])
(invocation_expression function: [
  (identifier) @ref.call
  (generic_name . (identifier) @ref.call)
  (member_access_expression name: (identifier) @ref.call)
  (member_access_expression name: (generic_name . (identifier) @ref.call))
  (conditional_access_expression (member_binding_expression name: (identifier) @ref.call))])
(object_creation_expression type: [(identifier) @ref.call (generic_name . (identifier) @ref.call)])
(attribute name: (identifier) @ref.call)
(assignment_expression
  left: [(identifier) @ref.write (member_access_expression name: (identifier) @member.write)])
(parameter type: (identifier) @ref.type)
(variable_declaration type: (identifier) @ref.type)
(method_declaration returns: (identifier) @ref.type)
(property_declaration type: (identifier) @ref.type)
(generic_name . (identifier) @ref.type)
(type_argument_list (identifier) @ref.type)
(nullable_type (identifier) @ref.type)
(array_type type: (identifier) @ref.type)
(catch_declaration type: (identifier) @ref.type)
(cast_expression type: (identifier) @ref.type)
(typeof_expression type: (identifier) @ref.type)
(member_access_expression name: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
(attribute_list) @attach
